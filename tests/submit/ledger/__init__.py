"""Tests of submit/ledger/."""
