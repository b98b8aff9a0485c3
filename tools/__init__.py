"""What is run on the project's own files: by a commit, or by hand."""
