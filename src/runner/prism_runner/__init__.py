"""The runner's own modules: the untrusted end of the wire. Nothing in here computes anything that
scores.
"""
