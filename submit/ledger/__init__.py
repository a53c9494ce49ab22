"""The ledger of submissions, its file, and what it says of the next one."""
