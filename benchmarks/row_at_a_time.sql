\set serial random(1000001, 1000000 + :cards)
\set amount random(100, 999)
\set stan random(100000, 999999)
\set rrn random(100000000000, 999999999999)
\set code random(100000, 999999)
\set key_high random(0, 4611686018427387903)
\set key_low random(0, 4611686018427387903)
SELECT * FROM bench_authorize_one(
    bench_token(:serial), int8send(:key_high) || int8send(:key_low), int8send(:rrn),
    clock_timestamp() + :within::interval, '3012', 604800, NULL, NULL, 'purchase', 'stripe',
    :amount, 0, :amount, '978', '000000', '0100', :stan, '1231235959', :rrn, '476173', 'TERM0001',
    'MERCHANT0000001', 'ACME STORE               BERLIN       DE', '5411', '276', '901', 'pgbench',
    :code, 'track_code=match');
