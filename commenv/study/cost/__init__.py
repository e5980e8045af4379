"""What a study's messages cost on a link: seconds on air and joules, after the run."""

from commenv.study.cost.account import account, render, summary
from commenv.study.cost.lora import LoRa
from commenv.study.cost.lte import LTE
from commenv.study.cost.measured import Measured, read_measured
from commenv.study.cost.profile import Cost, Direction, LinkProfile
from commenv.study.cost.profiles import PROFILES, link_profile
from commenv.study.cost.wifi import WiFi

__all__ = [
    "LTE",
    "PROFILES",
    "Cost",
    "Direction",
    "LinkProfile",
    "LoRa",
    "Measured",
    "WiFi",
    "account",
    "link_profile",
    "read_measured",
    "render",
    "summary",
]
