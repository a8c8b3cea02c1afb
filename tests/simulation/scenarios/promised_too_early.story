# A leader that reaches nobody takes a request in, and says nothing
# It cannot know yet that it is cut off. What it has written down alone is not kept.
# bug: a request is acknowledged when it is appended
mesh 3
isolate 1
ask c1 1
wait 100
expect acks 0
