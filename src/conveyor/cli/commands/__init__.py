"""One command a file, each thin: options in, a function of ``conveyor.api``, lines or JSON out."""
