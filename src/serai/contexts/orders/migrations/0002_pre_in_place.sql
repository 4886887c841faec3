-- Every order is written a second time, when it reaches its end: its page keeps room for that.

ALTER TABLE {orders}.orders SET (fillfactor = 50);
