"""Model cards of networks made for tests."""

from restorekit.zoo import ModelCard


def bare_card(name: str, task: str, channels: int, level_range: tuple[float, float]) -> ModelCard:
    """A card that says nothing beyond what commands go by."""
    return ModelCard(
        name=name,
        architecture="none",
        settings={},
        task=task,
        channels=channels,
        level_range=level_range,
        parameters=0,
        description="",
        recipe="",
        recipe_sha256="0" * 64,
        training_data="",
        steps=0,
        package_version="0",
        licence="",
    )
