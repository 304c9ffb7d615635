export default class Greeter {}
export const greeting = async (name: string): Promise<string> => `Hello ${name}`;
