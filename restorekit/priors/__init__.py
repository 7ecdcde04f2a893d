"""What clean images look like. Priors on the codes of patches have a name in `PRIORS`: a new one needs a line there."""

from restorekit.priors.base import CodePrior
from restorekit.priors.centralised import CentralisedPrior
from restorekit.priors.group import GroupPrior
from restorekit.priors.sparse import SparsePrior

PRIORS: dict[str, type[CodePrior]] = {"sparse": SparsePrior, "group": GroupPrior, "centralised": CentralisedPrior}
