"""The QA board: pages for analysts, made from an overview of the workspace; served, or written as static files.

The threat: whoever may write in a request's ``products`` writes pages and scripts that an analyst's browser runs, and names,
titles and notes are other people's text. So weblogs are sandboxed and reach nothing of the board's, no path leads out of the
weblog cache, and every value is escaped where it is shown. Nothing here changes anything. docs/explanation/board-threats.md
has each threat with its answer and its test.
"""
