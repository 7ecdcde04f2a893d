"""Training: recipes, data, the loop, and what it leaves behind."""

from restorekit.train.loop import TrainingReport, TrainingResult, run
from restorekit.train.recipe import Recipe, load_recipe, recipe_names

__all__ = ["Recipe", "TrainingReport", "TrainingResult", "load_recipe", "recipe_names", "run"]
