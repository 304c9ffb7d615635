exports.upload = async (event) => {
  const type = event.headers["Content-Type"];
  if (!type || !type.startsWith("multipart/form-data")) {
    return { statusCode: 400, body: "Bad Request" };
  }
  const boundary = type.split("=").pop();
  const parts = event.body
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((part) => part.slice(2, -2).split("\r\n\r\n"))
    .map(([head, ...data]) => [head.match(/filename="([^"]*)"/)?.[1] ?? null, data.join("\r\n\r\n")]);
  return { statusCode: 200, body: parts };
};
