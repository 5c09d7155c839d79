"""The web console: plain HTML forms over the operations of `authz.admin`, complete without script.

Owns how administration looks: which pages there are (`pages.PAGES`), how they are filled and what is said after a
change. Never validates, permits or changes anything by itself: a page calls one operation, with the same permission,
validation and audit as the API and the command line, and shows what it says.

A page is a module with a `PAGE`, handlers of (Visit) and a template; `pages.py` has one line for each. Navigation,
permission, sign-in and errors come along by themselves.

Decisions:
- Every POST is judged by `csrf.is_own_form`, and after a change the browser is sent to a GET (303), so that reloading
  repeats nothing. What was done is said by a key of the page's `DONE`, never by a text in the address.
- A destructive act is asked about on a page of its own, which says what it will affect; the answer comes as `sure=yes`.
- A change that takes a fresh sign-in leads to the sign-in and back; nothing was changed meanwhile.
"""
