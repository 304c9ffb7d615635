// Checks a registration: POST {"name": "Ada", "email": "ada@example.com", "talks": ["opening"]}

import { z } from "zod";

const Registration = z.object({
  name: z.string().trim().min(1).max(80),
  email: z.email(),
  talks: z.array(z.enum(["opening", "compilers", "closing"])).min(1),
  company: z.string().max(80).optional(),
});

export async function handle(event) {
  const { success, data, error } = Registration.safeParse(parse(event.body));
  if (!success) {
    const problems = error.issues.map(({ path, message }) => ({ field: path.join("."), message }));
    return { statusCode: 422, body: { problems } };
  }
  return { statusCode: 201, body: data };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
