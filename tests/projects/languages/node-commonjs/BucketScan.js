const { promisify } = require("util");
const readFile = promisify(require("fs").readFile);

exports.handle = (event, context, callback) => {
  readFile(__filename, "utf8").then(
    (text) => callback(undefined, { statusCode: 200, body: { lines: text.split("\n").length - 1 } }),
    (error) => callback(error),
  );
  return new Promise((resolve) => setTimeout(resolve, 50, undefined));
};
