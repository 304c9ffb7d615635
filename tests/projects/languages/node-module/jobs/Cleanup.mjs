import { shout } from "words";

const handleCleanup = async (event) => ({ body: shout(`cleaned ${event.queryStringParameters.what}`) });

export { handleCleanup };
