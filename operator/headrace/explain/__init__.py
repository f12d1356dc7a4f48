"""What becomes of a request: the listener, the routes that are considered, the policy, and the endpoints that could get it.

Pure. The rules of HAProxy's frontends are applied to the same values that HAProxy gets; what only a live HAProxy knows (rates,
answers of other Services) is a proviso of the answer.
"""
