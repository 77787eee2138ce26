-- Counts one use by a smooth rate: the generic cell rate algorithm (ITU-T I.371), which governor uses, too.
-- KEYS: when all of the budget is there again, and when the last use was counted. ARGV: now, the time that one request
-- takes to come back, that of all of them; in microseconds.
-- Of servers whose clocks differ the one ahead tells the time: to the other one a full budget would look used up.
-- Returns how many are left and how long until all are there again; -1 and how long to wait if it was refused.
local now, each, all = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local whole, last = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) ?(%d*)$')
now = math.max(now, tonumber(last or '') or now)
whole = math.max(tonumber(whole or '') or now, now) + each
if whole - now > all then
    return { -1, whole - now - all }
end
redis.call('SET', KEYS[1], string.format('%.0f %.0f', whole, now), 'PX', math.ceil((whole - now) / 1000))
return { math.floor((all - (whole - now)) / each), whole - now }
