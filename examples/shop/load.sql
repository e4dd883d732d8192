-- Try: INSERT INTO reviews (customer_id, stars, published) VALUES (1, 5, true)
-- What keeps changing in the shop: how often in a hundred, and a statement. One whose row is gone changes nothing.

-- 20: an order
INSERT INTO orders (customer_id, total, gift)
SELECT 1 + floor(random() * last_value)::bigint, (random() * 300)::numeric(12, 2), random() < 0.1 FROM customers_customer_id_seq;
-- 14: an item of an order
INSERT INTO order_items (order_id, line, customer_id, sku, quantity, price)
SELECT order_id, 1 + (random() * 1000000)::int, customer_id, 'sku-1', 1 + (random() * 3)::int, 9.99 FROM orders TABLESAMPLE SYSTEM_ROWS (1)
ON CONFLICT DO NOTHING;
-- 12: a payment
UPDATE orders SET status = 'paid' WHERE order_id = (SELECT order_id FROM orders TABLESAMPLE SYSTEM_ROWS (50) WHERE status = 'placed' LIMIT 1);
-- 10: a parcel
UPDATE orders SET status = 'sent' WHERE order_id = (SELECT order_id FROM orders TABLESAMPLE SYSTEM_ROWS (50) WHERE status = 'paid' LIMIT 1);
-- 6: a cancellation, or its end
UPDATE orders SET cancelled_at = CASE WHEN cancelled_at IS NULL THEN now() END
WHERE order_id = (SELECT order_id FROM orders TABLESAMPLE SYSTEM_ROWS (1));
-- 5: another price
UPDATE orders SET total = total + 0.01 WHERE order_id = (SELECT order_id FROM orders TABLESAMPLE SYSTEM_ROWS (1));
-- 4: an order that changes hands
UPDATE orders SET customer_id = (SELECT 1 + floor(random() * last_value)::bigint FROM customers_customer_id_seq)
WHERE order_id = (SELECT order_id FROM orders TABLESAMPLE SYSTEM_ROWS (1));
-- 4: the deletion of an order
DELETE FROM orders WHERE order_id = (SELECT order_id FROM orders TABLESAMPLE SYSTEM_ROWS (1));
-- 4: the deletion of an item
DELETE FROM order_items WHERE (order_id, line) = (SELECT order_id, line FROM order_items TABLESAMPLE SYSTEM_ROWS (1));
-- 8: a review
INSERT INTO reviews (customer_id, stars, published)
SELECT 1 + floor(random() * last_value)::bigint, 1 + floor(random() * 5)::int, random() < 0.5 FROM customers_customer_id_seq;
-- 5: a review that is published, or withdrawn
UPDATE reviews SET published = NOT published WHERE review_id = (SELECT review_id FROM reviews TABLESAMPLE SYSTEM_ROWS (1));
-- 2: the deletion of a review
DELETE FROM reviews WHERE review_id = (SELECT review_id FROM reviews TABLESAMPLE SYSTEM_ROWS (1));
-- 3: a new customer
INSERT INTO customers (email, full_name, referrer_id)
SELECT 'new@example.org', 'New Here', floor(random() * last_value)::bigint FROM customers_customer_id_seq;
-- 2: a customer's edit
UPDATE customers SET newsletter = NOT newsletter, credit_limit = (random() * 1000)::numeric(12, 2)
WHERE customer_id = (SELECT 1 + floor(random() * last_value)::bigint FROM customers_customer_id_seq);
-- 1: a departure
DELETE FROM customers WHERE customer_id = (SELECT max(customer_id) FROM customers);
