"""What training shows and logs while it runs."""
