-- Counts one use, unless a window of time holds too many.
-- KEYS: the uses, by their times. ARGV: now, the end of the window before, its length, how many uses it may hold, what
-- this use is called; times in microseconds.
-- Returns how long to wait; -1 if the use is counted, now or before under the same name.
local uses = KEYS[1]
redis.call('ZREMRANGEBYSCORE', uses, '-inf', ARGV[2])
if redis.call('ZSCORE', uses, ARGV[5]) then
    return -1
end
local over = redis.call('ZCARD', uses) - tonumber(ARGV[4])
if over >= 0 then
    return redis.call('ZRANGE', uses, over, over, 'WITHSCORES')[2] + ARGV[3] - ARGV[1]
end
redis.call('ZADD', uses, ARGV[1], ARGV[5])
redis.call('PEXPIRE', uses, math.ceil(ARGV[3] / 1000))
return -1
