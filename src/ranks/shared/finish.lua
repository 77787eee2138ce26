-- A board is built, if it is still the one that was begun.
-- KEYS: the order, what is held of each student, the state. ARGV: who builds; how long a board is kept, in ms.
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[3], 'ready', 'PX', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2] + 60000)
redis.call('PEXPIRE', KEYS[2], ARGV[2] + 60000)
return 1
