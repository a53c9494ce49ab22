"""The page: figures, small pictures, template, script and style sheet."""
