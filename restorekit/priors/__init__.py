"""What clean images look like. Priors on the codes of patches have a name in `PRIORS`: a new one needs a line there."""

from restorekit.priors import codes

PRIORS: dict[str, type[codes.CodePrior]] = {
    "sparse": codes.SparsePrior,
    "group": codes.GroupPrior,
    "centralised": codes.CentralisedPrior,
}
