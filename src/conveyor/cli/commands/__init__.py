"""One command a file, each thin: options in, a function of ``conveyor.commands``, lines or JSON out."""
