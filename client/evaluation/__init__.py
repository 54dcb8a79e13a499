"""How Health Helper compares: whole runs of it and of other packages on the same input, in turn, and the tables.

process runs a program to its end and says what it cost; peers are the other packages, each in an environment of its
own; cost makes the comparison of cost. Nothing here is loaded by a scan.
"""
