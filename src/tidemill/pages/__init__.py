"""Pages: what artifacts say, drawn as HTML documents that need nothing but a browser.

A page is made of plain data: the JSON that components write. It is one file without a reference to any
other, so that it can be mailed, printed, and opened years later; the same data gives the same bytes. The
room must not know where the data came from: no store, no files, no data library.
"""
