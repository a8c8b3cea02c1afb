# Take the lead! says a message that was under way for two terms
# 1 was handed the lead once, died again since, and now comes back while 2 leads. The old message must move nobody.
# bug: a hand-over of an earlier term is obeyed
mesh 3
crash 1
await leader 2
start 1
await leader 1
crash 1
await leader 2
start 1
wait 250
again 2->1 TimeoutNow
wait 500
expect leader 2
