# A leader that is cut off goes on for less than a lease
# The leader hears nobody any more. Clients that still ask it must not wait for it for ever, nor be lied to: it gives up
# before the others can elect the next one.
# bug: a leader without a quorum goes on
mesh 3
isolate 1
ask c1 1
wait 1250
expect leader 2
expect acks 0
