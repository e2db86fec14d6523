"""Readers and writers of files, one module a format. All of them treat files as hostile."""
