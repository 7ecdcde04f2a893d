"""Model cards of networks made for tests."""

from restorekit.zoo import ModelCard


def bare_card(name: str, task: str, channels: int, conditioning_range: tuple[float, float]) -> ModelCard:
    """Return a card of nothing but what commands look at."""
    return ModelCard(
        name=name,
        architecture="none",
        settings={},
        task=task,
        channels=channels,
        conditioning_range=conditioning_range,
        parameters=0,
        description="",
        recipe="",
        recipe_sha256="0" * 64,
        training_data="",
        steps=0,
        package_version="0",
        licence="",
    )
