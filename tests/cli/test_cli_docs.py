"""docs/cli.md says what the application says."""

import runpy

from cli_runs import REPOSITORY


def test_the_reference_is_up_to_date():
    page = REPOSITORY / "docs" / "cli.md"
    render = runpy.run_path(str(page.with_name("generate_cli.py")))["render"]
    assert page.read_text("utf-8") == render(), "run: PYTHONPATH=. python docs/generate_cli.py"
