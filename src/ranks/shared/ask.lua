-- Answers questions about a board, all as of one moment.
-- KEYS: the order, what is held of each student, the state.
-- ARGV: how long a board is kept after a question, in ms; then four for each question:
--   'after' or 'before', the key's score as it sorts (nothing: from the end), the key's member, how many
--   'rank', the rank, '', how many
--   'around', the student, how many above, how many below
-- Returns how many standings there are, then for each question the position and rank of the first place and the
-- members and scores of all; nothing if there is no board, or not yet.
local order, held, state = unpack(KEYS)
if redis.call('GET', state) ~= 'ready' then
    return false
end
redis.call('PEXPIRE', state, ARGV[1])
redis.call('PEXPIRE', order, ARGV[1] + 60000)
redis.call('PEXPIRE', held, ARGV[1] + 60000)
local total = redis.call('ZCARD', order)

-- How many have more points.
local function above(score)
    return redis.call('ZCOUNT', order, '-inf', '(' .. score)
end

-- The order of bytes. Lua's own follows the locale.
local function is_before(one, other)
    for i = 1, 24 do
        local a, b = string.byte(one, i), string.byte(other, i)
        if a ~= b then
            return a < b
        end
    end
    return false
end

-- How many standings come before a key, and whether it is on the board.
local function position(score, member)
    local there = redis.call('ZSCORE', order, member)
    if there and tonumber(there) == tonumber(score) then
        return redis.call('ZRANK', order, member), true
    end
    local low, high = above(score), redis.call('ZCOUNT', order, '-inf', score)
    while low < high do
        local middle = math.floor((low + high) / 2)
        if is_before(redis.call('ZRANGE', order, middle, middle)[1], member) then
            low = middle + 1
        else
            high = middle
        end
    end
    return low, false
end

local function places(start, count)
    local answer = { start, 0 }
    if count > 0 and start < total then
        local found = redis.call('ZRANGE', order, start, start + count - 1, 'WITHSCORES')
        answer[2] = 1 + above(found[2])
        for i = 1, #found do
            answer[i + 2] = found[i]
        end
    end
    return answer
end

local answers = { total }
for i = 2, #ARGV, 4 do
    local kind, one, other, count = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
    local answer
    if kind == 'after' then
        local start = 0
        if one ~= '' then
            local before, is_there = position(one, other)
            start = is_there and before + 1 or before
        end
        answer = places(start, count)
    elseif kind == 'before' then
        local ending = total
        if one ~= '' then
            ending = position(one, other)
        end
        local start = math.max(ending - count, 0)
        answer = places(start, ending - start)
    elseif kind == 'rank' then
        local rank = math.max(tonumber(one), 1)
        local first = redis.call('ZRANGE', order, rank - 1, rank - 1, 'WITHSCORES')
        if not first[2] then
            answer = { total, 0 }
        elseif 1 + above(first[2]) >= rank then
            answer = places(rank - 1, count)
        else
            answer = places(redis.call('ZCOUNT', order, '-inf', first[2]), count)
        end
    else
        local of_student = redis.call('HGET', held, one)
        local reached = of_student and string.sub(of_student, string.find(of_student, ':', 1, true) + 1) or ''
        if reached == '' then
            answer = { total, 0 }
        else
            local itself = redis.call('ZRANK', order, reached .. one)
            local start = math.max(itself - tonumber(other), 0)
            answer = places(start, itself - start + 1 + count)
        end
    end
    answers[#answers + 1] = answer
end
return answers
