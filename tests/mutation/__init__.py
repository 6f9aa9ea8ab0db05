"""Does a test see it, if a line of `bg_di` is another? Each mutant is one small change; a test that fails kills it.

``python -m tests.mutation`` (`make mutation`) tries them and writes REPORT.md. It is a tool of our own, as the known
ones wrap each function in another one or start a process for each mutant. Here the tests are collected once; a mutant
is a fork of that process, in which the code of a function is exchanged, and only tests run that reach its line.

What is changed: comparisons, `and` and `or`, conditions, arithmetic, numbers, booleans and keys, what is returned, what
is caught, statements that are left out. What is not: text with a space in it, which is told to people and may read
otherwise; assertions and `strict=`, which say what cannot happen; annotations and decorators. What survives is either
equivalent, for a reason that equivalent.toml gives, or a test is missing.
"""
