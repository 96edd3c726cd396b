"""The part of the report with all that repeats the fit."""

from __future__ import annotations

from automl_keras.reporting.html.elements import Markup, element, pair, paragraph, section, table
from automl_keras.reporting.results import SearchResults, versions


def repeat_section(results: SearchResults) -> Markup:
    """Code, seed, recipe and versions."""
    recipe = {} if results.plan is None else results.plan["recipe"]
    settings = [
        ("Seed", "not known any more" if results.seed is None else results.seed),
        *((f"Recipe: {name.replace('_', ' ')}", value) for name, value in recipe.items()),
        *((f"Network: {name.replace('_', ' ')}", value) for name, value in results.best.architecture.items()),
    ]
    return section(
        "repeat",
        "Repeat it",
        _code(results.code),
        paragraph(
            "With counts as its limits (max_trials, epochs), the same data, versions and number of threads give the "
            "same network and the same answers. Under a time limit the speed of the machine counts too."
        ),
        pair(
            table(("What", "Value"), settings, "Seed, recipe and architecture"),
            table(("Package", "Version"), versions().items(), "Versions installed when this report was written"),
        ),
    )


def _code(code: str) -> Markup:
    if not code:
        return paragraph("This network was made out of that of another fit; what repeats that one is not known here.")
    return element("pre", element("code", code), tabindex=0, aria_label="Python code")
