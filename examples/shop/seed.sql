-- A believable shop: `seed.records` customers, two orders and a review each on average, two items in an order.
SELECT setseed(0.5);
INSERT INTO customers (customer_id, email, full_name, born, credit_limit, newsletter, signed_up_at, referrer_id)
SELECT number, 'customer' || number || '@example.org',
       (ARRAY['Ada', 'Chloé', 'Fatima', 'Jürgen', 'Zoë', '花子'])[1 + number % 6] || ' '
           || (ARRAY['García', 'Müller', 'Nguyễn', 'O''Neil', 'Петрова'])[1 + number % 5],
       CASE WHEN random() < 0.8 THEN date '1940-01-01' + (random() * 25000)::int END,
       CASE WHEN random() < 0.5 THEN (random() * 5000)::numeric(12, 2) END,
       random() < 0.3, timestamp '2015-01-01' + random() * interval '10 years',
       CASE WHEN random() < 0.4 THEN 1 + floor(random() * number)::bigint END
FROM generate_series(1, current_setting('seed.records')::bigint) AS number;
INSERT INTO orders (customer_id, status, total, gift, ordered_on, cancelled_at)
SELECT 1 + floor(power(random(), 2) * current_setting('seed.records')::bigint)::bigint,
       (ARRAY['placed', 'paid', 'sent', 'returned'])[1 + floor(random() * 4)::int],
       CASE WHEN random() < 0.98 THEN (random() * 300)::numeric(12, 2) END,
       random() < 0.1, date '2020-01-01' + (random() * 2000)::int,
       CASE WHEN random() < 0.1 THEN timestamp '2025-06-01' + random() * interval '90 days' END
FROM generate_series(1, 2 * current_setting('seed.records')::bigint);
INSERT INTO order_items (order_id, line, customer_id, sku, quantity, price)
SELECT order_id, line, customer_id, 'sku-' || floor(random() * 500)::int, 1 + floor(random() * 4)::int,
       (random() * 100)::numeric(12, 2)
FROM orders, generate_series(1, 2) AS line;
INSERT INTO reviews (customer_id, stars, text, published)
SELECT 1 + floor(random() * current_setting('seed.records')::bigint)::bigint, 1 + floor(random() * 5)::int,
       'As described.', random() < 0.7
FROM generate_series(1, current_setting('seed.records')::bigint);
SELECT setval(pg_get_serial_sequence('customers', 'customer_id'), greatest(max(customer_id), 1)) FROM customers;
