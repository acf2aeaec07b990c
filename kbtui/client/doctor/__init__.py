"""`kbtui doctor`: what is right and wrong between this machine and the server, check by check."""

from kbtui.client.doctor.environment import Environment
from kbtui.client.doctor.examination import Examination
from kbtui.client.doctor.findings import Check, Finding, Status
from kbtui.client.doctor.system import System

__all__ = ["Check", "Environment", "Examination", "Finding", "Status", "System"]
