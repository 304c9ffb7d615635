import { greeting } from "./greeting";

export { handle };

async function handle(event: { queryStringParameters: Record<string, string> }) {
    if (event.queryStringParameters.name === "nobody") {
        throw new Error("nobody was named");
    }
    return { body: await greeting(event.queryStringParameters.name), statusCode: 200 };
}
