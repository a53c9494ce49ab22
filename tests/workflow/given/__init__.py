"""Tests of workflow/given/."""
