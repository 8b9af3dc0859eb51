"""The acts: what a client or an operator may do with a registry.

Laws of this layer:

* It is asynchronous, and knows neither HTTP nor SQL nor paths: it calls functions of ``store`` through the database
  and through hops.
* A function that changes something returns after what it changed is durable; cancelled before that, it leaves either
  nothing or something that garbage collection takes.
* Who waits for a disk waits together: transactions are committed, and files published, in groups of those that came
  while the last group was under way.
* A digest's lock is taken before a transaction is queued, never inside one.
* What a client is told that nothing refers to is leased before the answer. Garbage collection asks again in the
  transaction that takes something, removes rows before files, and takes nothing while a restoration is open.
* A process that only reads (``reading``) decides by rows alone, which it asks at each use, and refuses no credentials.
* Time and chance come in here: ids are made by ``secrets``, moments are the transaction's.
* No task outlives its nursery; one that fails ends the daemon.
"""
