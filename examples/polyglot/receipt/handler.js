// A receipt as a page: GET /?shop=Café&item=Coffee:2.40&item2=Cake:3.10

const escape = (text) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

export async function handle(event) {
  const { shop = "Shop", ...items } = event.queryStringParameters;
  const lines = Object.entries(items)
    .filter(([name]) => name.startsWith("item"))
    .map(([, value]) => value.split(":"))
    .map(([name, price]) => ({ name, price: Number(price) }));
  if (lines.length === 0 || lines.some(({ price }) => !Number.isFinite(price))) {
    return { statusCode: 422, body: { error: "expected items such as item=Coffee:2.40" } };
  }
  const total = lines.reduce((sum, { price }) => sum + price, 0);
  const rows = lines.map(({ name, price }) => `<tr><td>${escape(name)}<td>${price.toFixed(2)}`);
  return {
    headers: { "Content-Type": "text/html; charset=utf-8" },
    body: `<!doctype html><title>${escape(shop)}</title><h1>${escape(shop)}</h1>
<table>${rows.join("")}<tr><th>Total<th>${total.toFixed(2)}</table>`,
  };
}
