-- Counts one use by a smooth rate: the generic cell rate algorithm (ITU-T I.371), which governor uses, too.
-- KEYS: when all of the budget is there again. ARGV: now, the time that one request takes to come back, that of all of
-- them; in microseconds.
-- Returns how many are left and how long until all are there again; -1 and how long to wait if it was refused.
local now, each, all = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local whole = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) + each
if whole - now > all then
    return { -1, whole - now - all }
end
redis.call('SET', KEYS[1], string.format('%.0f', whole), 'PX', math.ceil((whole - now) / 1000))
return { math.floor((all - (whole - now)) / each), whole - now }
