-- Applies updates to a board: of each student only a version higher than the one held.
-- KEYS: the order, what is held of each student, the state.
-- ARGV: for each student: the id, the version, the score as it sorts, when it was reached (nothing: the student left).
-- Returns of each student whom that changed: the id, the score as it sorted and when it was reached before (nothing: the
-- student was not ranked). Nothing at all if there is no board.
local order, held, state = unpack(KEYS)
if redis.call('EXISTS', state) == 0 then
    return false
end
local changed = {}
for i = 1, #ARGV, 4 do
    local student, version, score, reached = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local was = redis.call('HGET', held, student)
    local seen, before
    if was then
        local colon = string.find(was, ':', 1, true)
        seen, before = tonumber(string.sub(was, 1, colon - 1)), string.sub(was, colon + 1)
    end
    if not seen or seen < tonumber(version) then
        local score_before = ''
        if before and before ~= '' then
            score_before = redis.call('ZSCORE', order, before .. student)
            if before ~= reached then
                redis.call('ZREM', order, before .. student)
            end
        end
        if reached ~= '' then
            redis.call('ZADD', order, score, reached .. student)
        end
        redis.call('HSET', held, student, version .. ':' .. reached)
        changed[#changed + 1] = student
        changed[#changed + 1] = score_before
        changed[#changed + 1] = before or ''
    end
end
if #changed > 0 then
    -- All of a board goes at once, its state first.
    local left = redis.call('PTTL', state) + 60000
    redis.call('PEXPIRE', order, left)
    redis.call('PEXPIRE', held, left)
end
return changed
