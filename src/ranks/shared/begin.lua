-- Begins to build a board, unless another server does, or has done so.
-- KEYS: the order, what is held of each student, the state. ARGV: who builds; how long it may take, in ms.
if redis.call('EXISTS', KEYS[3]) == 1 then
    return 0
end
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
return 1
