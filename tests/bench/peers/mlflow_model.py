"""The SavedModel as an MLflow model. MLflow logs this file as the model's code, so nothing is pickled."""

import mlflow
import vectors


class Sentences(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.model = vectors.load_once(context.artifacts["encoder"])
        self.batch = context.model_config["batch"]

    def predict(self, context, model_input, params=None):
        return vectors.encode(self.model, model_input.iloc[:, 0].tolist(), self.batch)


mlflow.models.set_model(Sentences())
