# A client asks again before it has an answer
# The same request under the same number is on its way twice. It is stored once.
# bug: a request that comes again is stored again
mesh 3
ask c1
retry c1 1
await ack c1
