from __future__ import annotations

import sys
from pathlib import Path

# `pytest` alone does not put the checkout on the path, as `python -m pytest` does.
sys.path.append(str(Path(__file__).parent.parent))

pytest_plugins = [
    "layby.pytest_plugin",
    "tests.fix_browser",
    "tests.fix_bus",
    "tests.fix_completions",
    "tests.fix_crashes",
    "tests.fix_engine",
    "tests.fix_messages",
    "tests.fix_nats",
    "tests.fix_postgres",
    "tests.fix_proxy",
    "tests.fix_responses",
    "tests.fix_slack",
    "tests.fix_smtp",
    "tests.pace",
]
