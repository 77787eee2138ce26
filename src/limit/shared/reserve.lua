-- Counts one use, unless a window of time holds too many.
-- KEYS: the uses, by their times. ARGV: now, the length of the window, how many uses it may hold, what this use is
-- called; times in microseconds.
-- Of servers whose clocks differ the one ahead tells the time.
-- Returns how long to wait; -1 if the use is counted, now or before under the same name.
local uses, window = KEYS[1], tonumber(ARGV[2])
local last = redis.call('ZRANGE', uses, -1, -1, 'WITHSCORES')[2]
local now = math.max(tonumber(ARGV[1]), tonumber(last or ARGV[1]))
redis.call('ZREMRANGEBYSCORE', uses, '-inf', string.format('%.0f', now - window))
if redis.call('ZSCORE', uses, ARGV[4]) then
    return -1
end
local over = redis.call('ZCARD', uses) - tonumber(ARGV[3])
if over >= 0 then
    return redis.call('ZRANGE', uses, over, over, 'WITHSCORES')[2] + window - now
end
redis.call('ZADD', uses, string.format('%.0f', now), ARGV[4])
redis.call('PEXPIRE', uses, math.ceil(window / 1000))
return -1
