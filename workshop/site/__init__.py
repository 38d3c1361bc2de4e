"""The lessons as a web site and as slides, drawn by MkDocs straight from the numbered folders."""
