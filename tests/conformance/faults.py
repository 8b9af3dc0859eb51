"""Faults by name, and the cases that each of them has to break. Every case stands there at least once."""

from __future__ import annotations

from tests.conformance.faults_of_acts import ACTS
from tests.conformance.faults_of_content import CONTENT
from tests.conformance.faults_of_refusals import REFUSALS

FAULTS = (*CONTENT, *ACTS)
FAULTS_OF_READ_ONLY = REFUSALS
