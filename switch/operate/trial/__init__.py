"""`switch rules try`: what a period would have been under other limits and controls."""

from switch.operate.trial.copying import Period
from switch.operate.trial.error import TrialError
from switch.operate.trial.report import as_json, report
from switch.operate.trial.rules_file import Rules, RulesError, read_rules
from switch.operate.trial.scratch import scratch_database
from switch.operate.trial.trial import Outcome, try_rules

__all__ = [
    "Outcome",
    "Period",
    "Rules",
    "RulesError",
    "TrialError",
    "as_json",
    "read_rules",
    "report",
    "scratch_database",
    "try_rules",
]
