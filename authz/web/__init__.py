"""The HTTP edge: parse the request, call the product, render the answer.

Nothing here decides. Every page is complete without JavaScript, and no response leaves
without the headers of `headers`.
"""
